"""Objects in a folder or on S3: the one way in which the project reaches either.

Put here how bytes are read, written and listed. What they mean (tables, images, models) does not belong here.
"""
