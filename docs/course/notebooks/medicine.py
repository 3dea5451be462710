# %% [markdown]
# # Sensitivity, specificity and thresholds
#
# ## The idea
#
# A classifier gives a probability; a doctor needs a decision. Where the threshold lies decides which of two errors is made more often:
# to alarm a healthy person (type I), or to send an ill one home (type II). Accuracy hides this: if one of a thousand is ill, "nobody is
# ill" is right in 99.9 %. Sensitivity and specificity count the two groups apart; precision and recall ask the same about alarms.

# %% [markdown]
# ## Formulas
#
# $TP$, $FN$: ill, with and without an alarm. $FP$, $TN$: healthy, with and without an alarm.
#
# ### Sensitivity and specificity
#
# $$\mathrm{sensitivity} = \mathrm{recall} = \frac{TP}{TP + FN}, \qquad \mathrm{specificity} = \frac{TN}{TN + FP}$$
#
# Code: `docs.course.lessons.images.medicine.sensitivity`, `docs.course.lessons.images.medicine.specificity`
#
# ### Precision, and F1
#
# $$\mathrm{precision} = \frac{TP}{TP + FP}, \qquad F_1 = \frac{2 \cdot \mathrm{precision} \cdot \mathrm{recall}}{\mathrm{precision} + \mathrm{recall}}$$
#
# Code: `docs.course.lessons.images.medicine.precision`
#
# ### What an alarm means depends on how frequent the illness is
#
# With the share $\pi$ of ill persons, by Bayes' rule:
#
# $$\mathrm{precision} = \frac{\pi \cdot \mathrm{sensitivity}}{\pi \cdot \mathrm{sensitivity} + (1 - \pi)(1 - \mathrm{specificity})}$$
#
# Code: `docs.course.lessons.images.medicine.precision_at`
#
# Derivation: of all persons the share $\pi \cdot \mathrm{sensitivity}$ is ill and has an alarm, and the share $(1 - \pi)(1 -
# \mathrm{specificity})$ is healthy and has one. Precision is the first divided by the sum of both.
#
# ### Area under the ROC curve
#
# The probability that a random ill person gets a higher value than a random healthy one, $s^+$ and $s^-$:
#
# $$\mathrm{AUC} = P(s^+ > s^-) + \tfrac{1}{2} P(s^+ = s^-)$$
#
# Code: `zoo.tasks.image.medical.MedicalClassification`, `docs.course.lessons.images.medicine.curve`
#
# The same test in a clinic and in a screening:

# %%
import numpy as np

from docs.course.lessons.images import medicine

for share in (0.5, 0.01, 0.001):
    value = medicine.precision_at(share, 0.9, 0.95)
    print(f"{share:.1%} ill: of 100 alarms {100 * value:.0f} are right")
assert medicine.precision_at(0.001, 0.9, 0.95) < 0.02 < 0.9 < medicine.precision_at(0.5, 0.9, 0.95)

# %% [markdown]
# ## Exercises
#
# ### 1. The accuracy that says nothing
#
# 1,000 people, 10 of them ill; a test that never alarms. Compute accuracy, sensitivity and specificity.

# %% starter
accuracy, sensitivity, specificity = 0.0, 0.0, 0.0  # your numbers

# check
counted = medicine.counts(np.arange(1000) < 10, np.zeros(1000), 0.5)
assert accuracy == (counted[0] + counted[3]) / 1000, f"not yet: {counted[3]} of 1,000 answers are right"
assert sensitivity == medicine.sensitivity(*counted[:2]), f"not yet: {counted[0]} of 10 ill people are found"
assert specificity == medicine.specificity(counted[3], counted[2]), "not yet: how many of the healthy are left alone?"
print("right: 99 % accurate, and useless")

# %% solution
ill = np.arange(1000) < 10
found, missed, alarmed, cleared = medicine.counts(ill, np.zeros(1000), 0.5)
accuracy = (found + cleared) / 1000
sensitivity, specificity = medicine.sensitivity(found, missed), medicine.specificity(cleared, alarmed)
print(f"accuracy {accuracy}, sensitivity {sensitivity}, specificity {specificity}")
assert (accuracy, sensitivity, specificity) == (0.99, 0, 1)

# %% [markdown] why
# Of 1,000 people 990 are healthy, and all are called healthy, so 99 % of the answers are right. Sensitivity divides by the ill
# only: none of the ten is found. With rare illnesses accuracy is nearly the share of the healthy, whatever the test does, so it
# cannot tell a good test from none.

# %% [markdown]
# ### 2. A threshold for a sensitivity
#
# Which threshold finds 95 % of the ill in the test split of `admissions`, and how specific is it?

# %% solution
from zoo.tasks.image.medical import threshold_for

ill, probability = medicine.tumours()
threshold = threshold_for(ill, probability, 0.95)
found, missed, alarmed, cleared = medicine.counts(ill, probability, threshold)
print(
    f"threshold {threshold:.3f}: {medicine.sensitivity(found, missed):.3f}, {medicine.specificity(cleared, alarmed):.3f}"
)
assert medicine.sensitivity(found, missed) >= 0.95

# %% [markdown] why
# The probabilities of the ill are sorted, and the threshold is the one that 95 % of them reach. A lower threshold finds more of
# the ill and alarms more of the healthy; the specificity is the price, and it is read at the same threshold. In practice the
# threshold is chosen on validation data: one chosen on the test split fits its rows.

# %% [markdown]
# ### 3. AUC as a share of pairs
#
# Compute the area under the ROC curve by counting pairs, and compare it with scikit-learn.

# %% solution
from sklearn.metrics import roc_auc_score

pairs = probability[ill][:, None] - probability[~ill][None]
share = (pairs > 0).mean() + 0.5 * (pairs == 0).mean()
print(share, roc_auc_score(ill, probability))
assert np.isclose(share, roc_auc_score(ill, probability))

# %% [markdown] why
# The area under the ROC curve is the probability that a random ill person has a higher score than a random healthy one. Moving
# along the curve from one ill person to the next adds a strip whose height is the share of healthy people with a lower score, and
# the sum of the strips is the share of the pairs. Ties count one half. It therefore depends on the order of the scores only, not
# on their calibration.
