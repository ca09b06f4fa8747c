"""Start-up of a local Spark made shorter. Everything here can be left out without changing a result."""
