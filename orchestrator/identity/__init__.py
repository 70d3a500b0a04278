"""Who calls: tokens, certificates, and whom they stand for. Knows nothing of gRPC."""
