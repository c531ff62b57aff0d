"""What touches the world for a workflow: storage and SMTP, reached through the ports of `activities.ports`."""
