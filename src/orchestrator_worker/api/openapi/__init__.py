"""The API's description: the OpenAPI document and all it says.

`document.py` puts it together; the other modules hold its parts. Nothing here serves a request.
"""
