"""The local stack: PostgreSQL, Temporal, a mail catcher and a worker under one command (`sendgate up`)."""
