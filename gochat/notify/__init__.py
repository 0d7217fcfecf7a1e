"""Notifications for users who are away: rules that are pure, channels that carry them, and the service between."""
