"""Objects in a folder or on S3: the only access to either in this project.

Put here how bytes are read, written and listed. Their content (tables, images, models) does not belong here.
"""
