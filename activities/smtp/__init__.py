"""SMTP: `connections` hands over, `pool` keeps the lines, `conversation` speaks for one email, `outcomes` judges."""

from activities.smtp.connections import SmtpTransport

__all__ = ["SmtpTransport"]
