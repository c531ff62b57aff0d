-- What the sweep looks for every few seconds: it must not read all messages and commands that there have ever been.
create index messages_not_adopted on messages (updated_at)
 where adopted_at is null and status in ('scheduled', 'sending', 'paused');
create index commands_to_workflows on commands (number) where verb in ('pause', 'resume', 'cancel');
