"""KP's crews as a CrewAI project: for a worker that executes them in the place of the server's own engine."""
