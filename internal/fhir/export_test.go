package fhir

// LoadTables reads the tables anew, for measuring what start-up costs.
func LoadTables() int { return len(loadTypes().types) + len(loadSearch()) + len(loadCompartment()) }
