"""Managing access: roles, staff and machine clients with their roles at clinics, API keys (员工、角色与密钥管理)."""
