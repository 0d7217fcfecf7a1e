"""The rules in force: read from the files that the settings name, and replaced as a whole. Their meaning is in
`domain.moderation`."""

from gochat.policy.loading import load_rules
from gochat.policy.rules import RulesInForce

__all__ = ["RulesInForce", "load_rules"]
