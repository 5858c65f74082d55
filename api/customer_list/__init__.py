"""The customer list (客户列表): search, saved filters, columns of one's own, and the log of bulk operations."""
