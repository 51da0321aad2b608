"""What two rooms use, and what hides one provider or one group of tables."""
