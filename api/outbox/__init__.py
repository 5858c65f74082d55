"""The outbox: messages and events written with the change that causes them, and sent afterwards."""
