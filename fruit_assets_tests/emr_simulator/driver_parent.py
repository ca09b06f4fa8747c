"""Stands in for spark-submit's JVM where steps are plain Python: the parent of the driver, run as a script.

As in client mode the driver's stdout and stderr both become the step's stdout, and a SIGTERM ends the
parent only: the driver gets no signal and notices at best that its output has lost its reader.
"""

import os
import subprocess
import sys

if __name__ == "__main__":
    with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as driver:
        assert driver.stdout is not None
        while chunk := os.read(driver.stdout.fileno(), 65536):
            os.write(1, chunk)
    code = driver.returncode
    # The JVM passes an exit code on, and has 128 + n for a driver that died of a signal.
    sys.exit(code if code >= 0 else 128 - code)
