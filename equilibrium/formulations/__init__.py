"""Formulations: interchangeable ways to turn a game's conditions into something a solver can do."""
