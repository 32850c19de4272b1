"""Ten classifiers on three data sets of two features: the accuracy of each.

After scikit-learn's example "Classifier comparison", by Gaël Varoquaux, Andreas Müller and Jaques Grobler
(https://scikit-learn.org/stable/auto_examples/classification/plot_classifier_comparison.html), written anew.
Lines without imports, comments and figures: 44 there, 26 here.

    python examples/ports/classifier_comparison.py
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import make_circles, make_classification, make_moons
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from memento import Memento

X, y = make_classification(
    n_features=2, n_redundant=0, n_informative=2, random_state=1, n_clusters_per_class=1
)
datasets = {
    "moons": make_moons(noise=0.3, random_state=0),
    "circles": make_circles(noise=0.2, factor=0.5, random_state=1),
    "linearly separable": (X + 2 * np.random.RandomState(2).uniform(size=X.shape), y),
}
classifiers = {
    "Nearest Neighbors": KNeighborsClassifier(3),
    "Linear SVM": SVC(kernel="linear", C=0.025, random_state=42),
    "RBF SVM": SVC(gamma=2, C=1, random_state=42),
    "Gaussian Process": GaussianProcessClassifier(1.0 * RBF(1.0), random_state=42),
    "Decision Tree": DecisionTreeClassifier(max_depth=5, random_state=42),
    "Random Forest": RandomForestClassifier(max_depth=5, n_estimators=10, max_features=1, random_state=42),
    "Neural Net": MLPClassifier(alpha=1, max_iter=1000, random_state=42),
    "AdaBoost": AdaBoostClassifier(random_state=42),
    "Naive Bayes": GaussianNB(),
    "QDA": QuadraticDiscriminantAnalysis(),
}


def accuracy(dataset, classifier):
    X, y = dataset
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=42)
    return make_pipeline(StandardScaler(), classifier).fit(X_train, y_train).score(X_test, y_test)


results = Memento(accuracy).run({"parameters": {"dataset": datasets, "classifier": classifiers}})
print(results.pivot("classifier", "dataset").to_string())
