"""Signed webhooks: workspace events sent to other people's servers.

endpoint.py    where to, with which secret, within which limits
signature.py   how a request is signed, and how its receiver checks that
addresses.py   which addresses may be called
client.py      one request, to an address that was looked at
limits.py      how much at a time
subscriber.py  the durable subscriber that sends
"""
