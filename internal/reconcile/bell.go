package reconcile

// bell wakes one listener; ringing it twice before it is heard is once.
type bell chan struct{}

func newBell() bell { return make(bell, 1) }

func (b bell) signal() {
	select {
	case b <- struct{}{}:
	default:
	}
}
