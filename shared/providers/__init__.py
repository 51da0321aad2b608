"""WhatsApp providers behind one protocol (base.py): one client, one outcome table and one event parser each.

Nothing here touches the database; only shared/dispatcher and shared/health know both sides.
"""
