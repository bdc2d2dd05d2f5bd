"""Crewline."""
