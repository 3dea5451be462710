"""Programs that run in the environments of the servers, without the rest of this package."""
