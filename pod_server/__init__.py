"""pod-server: a host for personal data pods.

Three jobs: host a pod for each citizen, land what partners hold about them as
validated RDF, answer the apps they let in.  The rooms are listed in
README.md; imports run one way, from ``cli`` down to ``errors``.
"""

__version__ = "0.1.0"
