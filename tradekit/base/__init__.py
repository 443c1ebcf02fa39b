"""What the rest stands on: settings, secrets, locks, logs, plug-ins."""
