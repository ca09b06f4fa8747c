"""Amazon EMR Serverless on one machine: applications, and job runs that are real processes.

What EMR Serverless does, this package does: requests, states, client tokens, grace periods, logs,
billed hours. Where it is not EMR Serverless: capacity beyond `maximumCapacity` is a fault to order,
an image holds a bare Python, and the driver of a job run is a spark-submit of this machine.
"""
