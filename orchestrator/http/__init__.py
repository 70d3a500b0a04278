"""What the service itself asks over HTTP."""
