"""When a request may be sent: rates, concurrency, priorities, fairness, deadlines. One scheduler for each server."""
