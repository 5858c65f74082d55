"""The commands of the operational store and of access, for `cdp`: arguments in, functions called, answers shown."""
