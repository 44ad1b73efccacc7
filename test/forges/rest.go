package forges

func mergeCases() []testCase  { return nil }
func closeCases() []testCase  { return nil }
func listCases() []testCase   { return nil }
func answerCases() []testCase { return nil }
