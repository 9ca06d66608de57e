"""Speed, memory and disk of bisum beside the course's recipe and the least code for the same arithmetic."""
