-- Who bounced or failed, by when: why so many do is asked of the latest of them, whatever else the message has.
create index recipients_failed on recipients (message_id, settled_at) where status in ('bounced', 'failed');
