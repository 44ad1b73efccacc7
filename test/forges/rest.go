package forges

func reviewCases() []testCase  { return nil }
func statusCases() []testCase  { return nil }
func labelCases() []testCase   { return nil }
func commentCases() []testCase { return nil }
func mergeCases() []testCase   { return nil }
func closeCases() []testCase   { return nil }
func listCases() []testCase    { return nil }
func answerCases() []testCase  { return nil }
