"""What is sent to Lev and what comes back: requests, responses, pages, errors."""
