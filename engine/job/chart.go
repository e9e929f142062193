package job

// This file holds what Next must know of a blueprint.

// Place is what a blueprint says about one of its states.
type Place struct {
	End        bool
	Aggregator bool
	Status     Status // End only: finished, failed or cancelled
}

// Chart tells the states of the revision that a job runs on.
type Chart interface {
	// Place gives a state; ok is false for a name the blueprint does not have.
	Place(state string) (p Place, ok bool)
	// Start names the start state.
	StartState() string
	// Suggest names the state that was probably meant, or "".
	Suggest(state string) string
}
