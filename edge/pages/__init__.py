"""The manager's pages: server-rendered, in Portuguese, under the person's own JWT.

Routes are in routes.py. What a page shows comes from SQL functions that check who asks; its texts are in
edge/templates and shared/texts_pt/pages.py.
"""
