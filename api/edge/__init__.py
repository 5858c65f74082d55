"""What stands between the network and the domains: readable requests, request ids, logs, rates, problem documents."""
