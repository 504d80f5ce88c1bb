"""Access to Claude: one Protocol, the real client, and wrappers that each add one concern."""
