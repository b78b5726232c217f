"""Who may do what: access-control documents become policies, policies become decisions.

Pure: no store, no network, no clock.  pod.py, query/ and consent/ call it;
whatever the world adds to a decision is passed in as Facts.
"""

from pod_server.access.decision import decide, readable
from pod_server.access.policies import (
    grant_rule,
    landed_rules,
    owner_rule,
    public_rule,
    root_rules,
    write_policy,
)
from pod_server.access.wac import CONDITION_TYPES, RuleText, compile_policy, read_rules

__all__ = [
    "CONDITION_TYPES",
    "RuleText",
    "compile_policy",
    "decide",
    "grant_rule",
    "landed_rules",
    "owner_rule",
    "public_rule",
    "read_rules",
    "readable",
    "root_rules",
    "write_policy",
]
