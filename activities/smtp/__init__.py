"""SMTP: `connections` keeps the connections, `conversation` speaks for one email, `outcomes` judges the answers."""

from activities.smtp.connections import SmtpTransport

__all__ = ["SmtpTransport"]
