"""Every way in: the use cases (`batch_messages`), the command line, the local stack, the runbooks."""
