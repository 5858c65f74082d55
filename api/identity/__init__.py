"""Who is one person: the identities of a customer with their history, and what operators decide by hand (人工规则)."""
