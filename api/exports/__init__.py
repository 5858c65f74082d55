"""Query results as files people open: XLSX and CSV, streamed. Who may export what, and when, belongs to its callers."""
