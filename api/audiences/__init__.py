"""Tags and segments (标签, 分群): their groups, definitions, quotas and templates, who is in them and why."""
