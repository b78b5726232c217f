"""Clients of a pod host: a partner's publisher and an app's query client.

Import ``Credentials``, ``Session``, ``Partner`` and ``Pod`` from here.  They
speak HTTP only and know nothing of a host's inside.
"""

from pod_clients.errors import ClientError, HostError, ReceiptError
from pod_clients.items import Item, Split, Verdict
from pod_clients.partner import Partner, Report, Status
from pod_clients.pod import AsyncPod, Pod
from pod_clients.rows import Iri, Rows
from pod_clients.session import AsyncSession, Credentials, Session

__all__ = [
    "AsyncPod",
    "AsyncSession",
    "ClientError",
    "Credentials",
    "HostError",
    "Iri",
    "Item",
    "Partner",
    "Pod",
    "ReceiptError",
    "Report",
    "Rows",
    "Session",
    "Split",
    "Status",
    "Verdict",
]
