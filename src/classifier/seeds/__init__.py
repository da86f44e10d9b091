"""Trainings that differ in their seed alone: their spread, how groups differ, one model of them."""
