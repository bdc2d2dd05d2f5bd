raise RuntimeError("the database is away")
