"""The audit log (操作日志): who did what to what, written with the change, chained by hashes, verified on demand."""
