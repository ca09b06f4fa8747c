"""Features of many images: the plan of a run, the worker's loop, and the check of a precision against f32."""
