// The numbers of one slice: local.py and windows.py say what they are, spectrum.py those of the
// transforms. Columns are written in the order of LOCAL_NAMES.
#pragma once

#include "numbers.h"

namespace ws {

constexpr float LARGEST = 1e25f, FAR = 4.0f;
constexpr int NEIGHBOURS = 129;

// What depends on the length of the slices alone; the fields of `Shape` in native/__init__.py.
struct Shape {
  int64_t length, padded, lags, columns, count;
  const double *fine, *sizes, *steps;
  int64_t fine_count, size_count, step_count;
  const int64_t *ranks, *edges, *centres, *harmonics, *at, *envelope, *octaves;
  int64_t rank_count, band_count, period_count, reach, at_count, envelope_count, octave_count;
};

class Local {
 public:
  explicit Local(const Shape& shape) : s_(shape), n_(shape.length) {
    for (auto* own : {&values_, &ordered_, &steps_, &relative_, &tamed_, &logs_, &weight_,
                      &size_, &product_, &mean_})
      own->resize(n_);
    for (auto& own : sums_) own.resize(n_ + 1);
    filter_.resize(n_ + NEIGHBOURS);
  }

  // All but the numbers of the transforms. `series` [2, padded]: what is to be transformed, the
  // levelled weights and sizes, both centred, with zeros behind. `flat` [2]: whether it is only
  // rounding errors. Returns where the numbers of the spectrum begin.
  double* describe(const float* values, double* out, float* series, uint8_t* flat) {
    for (ptrdiff_t i = 0; i < n_; i++) values_[i] = std::clamp(values[i], -LARGEST, LARGEST);
    for (ptrdiff_t i = 0; i + 1 < n_; i++) steps_[i] = values_[i + 1] - values_[i];
    sort_(values_.data(), n_, ordered_.data());
    sizes_ = Sizes(ordered_.data(), n_);
    set_scale();
    const float each = 1 / scale_;
    for (ptrdiff_t i = 0; i < n_; i++) {
      relative_[i] = values_[i] * each;
      tamed_[i] = asinh_of(relative_[i]);
      logs_[i] = log_of(std::fabs(relative_[i]) + 1e-3f);
    }
    out_ = out;
    put(std::log10((double)scale_));
    put_tamed(moments_of(values_.data(), n_));
    put(moments_of(tamed_.data(), n_));
    put(moments_of(logs_.data(), n_));
    put_tamed(moments_of(steps_.data(), n_ - 1));
    quantiles();
    shares();
    windows();
    blocks();
    levelled(series, flat);
    return out_;
  }

  // Autocorrelations, then numbers of the power, then folds; `describe` kept what folds need.
  static void spectrum(const Shape& s, const float* power, const float* covariance,
                       const float* others, const uint8_t* flat, const double* folds, double* out) {
    const float each[2] = {flat[0] ? 0.0f : 1 / covariance[0], flat[1] ? 0.0f : 1 / others[0]};
    for (int64_t i = 0; i < s.at_count; i++)
      *out++ = s.at[i] <= s.lags ? covariance[s.at[i]] * each[0] : 0;
    out = peaks(s, covariance, each[0], out, true);
    for (int64_t i = 0; i < s.envelope_count; i++)
      *out++ = s.envelope[i] <= s.lags ? others[s.envelope[i]] * each[1] : 0;
    out = peaks(s, others, each[1], out, false);
    out = powers(s, power, flat[0], out);
    std::copy(folds, folds + 9, out);
  }

  const double* folds() const { return folds_; }

 private:
  void put(double x) { *out_++ = x; }
  void put(const Moments& m) { put(m.mean), put(m.variance), put(m.skewness), put(m.kurtosis); }
  void put_tamed(const Moments& m) {
    put(std::asinh(10 * m.mean / scale_));
    put(std::log(std::sqrt(m.variance) / scale_ + 1e-4));
    put(std::asinh(m.skewness));
    put(std::asinh(m.kurtosis));
  }

  // The median absolute value; the mean if half of the values are 0, and 1 if all are 0.
  void set_scale() {
    scale_ = sizes_[n_ / 2];
    if (!(scale_ > 1e-12f)) {
      double sum = 0;
      for (float own : values_) sum += std::fabs(own);
      scale_ = (float)(sum / n_);
    }
    if (!(scale_ > 1e-12f)) scale_ = 1;
  }

  void quantiles() {
    const double knee = 1e-3;
    double* first = out_;
    for (int64_t i = 0; i < s_.fine_count; i++) {
      const double q = quantile(ordered_.data(), n_, s_.fine[i]);
      first[i] = std::asinh(q / knee);
      first[i + s_.fine_count] = std::asinh(q / scale_);
    }
    out_ += 2 * s_.fine_count;
    for (int64_t i = 0; i < s_.size_count; i++)
      put(std::log10(quantile(sizes_, n_, s_.sizes[i]) + 1e-8));
    sort_(steps_.data(), n_ - 1, mean_.data());
    for (int64_t i = 0; i < s_.step_count; i++)
      put(std::asinh(quantile(mean_.data(), n_ - 1, s_.steps[i]) / scale_));
  }

  void put_share(ptrdiff_t count, ptrdiff_t of) { put(std::sqrt((double)count / of)); }

  void shares() {
    for (double near : {1e-8, 1e-5, 1e-4, 1e-3, 1e-2}) put_share(sizes_.within((float)near), n_);
    for (double near : {1e-3, 1e-2, 1e-1})
      put_share(sizes_.within((float)near * scale_), n_);
    int one = 0, positive = 0, changes = 0, same = 0, next = 0;
    for (ptrdiff_t i = 0; i < n_; i++) {
      one += std::fabs(values_[i] - 1) < 0.1f;
      positive += values_[i] > 0;
    }
    for (ptrdiff_t i = 0; i + 1 < n_; i++) {
      changes += (values_[i + 1] > 0) != (values_[i] > 0);
      same += ordered_[i + 1] == ordered_[i];
      next += values_[i + 1] == values_[i];
    }
    put_share(one, n_), put_share(positive, n_);
    for (int count : {changes, same, next}) put_share(count, n_ - 1);
  }

  void windows() {
    double level = 0, square = 0, one = 0;
    sums_[0][0] = sums_[1][0] = sums_[2][0] = 0;
    for (ptrdiff_t i = 0; i < n_; i++) {
      const double own = std::clamp(relative_[i], -1e3f, 1e3f);
      sums_[0][i + 1] = square += own * own;
      sums_[1][i + 1] = level += own;
      sums_[2][i + 1] = one += std::min(std::fabs(values_[i] - 1), 2.0f);
    }
    const double whole = square / n_ + 1e-12;
    for (int size : {4, 16, 64, 256}) window(std::min<ptrdiff_t>(size, n_), whole);
  }

  void window(ptrdiff_t size, double whole) {
    const double *squares = sums_[0].data(), *levels = sums_[1].data(), *ones = sums_[2].data();
    const double to_power = 1 / (size * whole), to_mean = 1 / (size * std::sqrt(whole));
    const ptrdiff_t count = n_ - size + 1;
    float faintest = 1e38f, strongest = 0, highest = -1e38f, lowest = 1e38f;
    double nearest = 1e300, narrowest = 1e300;
    int faint = 0, fainter = 0, stronger = 0;
    for (ptrdiff_t i = 0; i < count; i++) {
      const double wide = (squares[i + size] - squares[i]) * to_power;
      const double middle = (levels[i + size] - levels[i]) * to_mean;
      const float power = std::max((float)wide, 0.0f), mean = (float)middle;
      const float toward = std::fabs(mean) * mean / (power + 1e-9f);
      faintest = std::min(faintest, power), strongest = std::max(strongest, power);
      highest = std::max(highest, toward), lowest = std::min(lowest, toward);
      narrowest = std::min(narrowest, wide - middle * middle);
      faint += power < 0.01f, fainter += power < 0.25f, stronger += power > 4.0f;
    }
    for (ptrdiff_t i = 0; i < count; i++) nearest = std::min(nearest, ones[i + size] - ones[i]);
    put(std::log10(faintest + 1e-8f)), put(std::log10(strongest + 1e-8f));
    put_share(faint, count), put_share(fainter, count), put_share(stronger, count);
    put(std::log(std::max(nearest / size, 0.0) + 1e-4));
    put(highest), put(lowest);
    put(std::log10(std::max(narrowest, 0.0) + 1e-8));
  }

  void blocks() {
    const ptrdiff_t count = std::min<ptrdiff_t>(64, n_ / 8), length = n_ / count;
    float numbers[5][64];
    for (ptrdiff_t b = 0; b < count; b++) block(tamed_.data() + b * length, length, numbers, b);
    float spreads[5];
    for (int k = 0; k < 5; k++) {
      spreads[k] = (float)std::sqrt(moments_of(numbers[k], count).variance);
      std::sort(numbers[k], numbers[k] + count);
      for (int64_t r = 0; r < s_.rank_count; r++) put(numbers[k][s_.ranks[r]]);
    }
    for (float spread : spreads) put(spread);
  }

  // Spread, mean, kurtosis, shift and next-neighbour correlation of one block.
  void block(const float* x, ptrdiff_t length, float (*numbers)[64], ptrdiff_t b) {
    float sum = 0;
    for (ptrdiff_t i = 0; i < length; i++) sum += x[i];
    const float mean = sum / length;
    float two = 0, four = 0, following = 0;
    for (ptrdiff_t i = 0; i < length; i++) {
      const float d = x[i] - mean;
      two += d * d, four += d * d * d * d;
    }
    for (ptrdiff_t i = 0; i + 1 < length; i++) following += (x[i] - mean) * (x[i + 1] - mean);
    two /= length, four /= length, following /= length - 1;
    const bool flat = two <= 1e-8f;
    numbers[0][b] = flat ? std::log(1e-4f) : std::log(std::sqrt(two));
    numbers[1][b] = mean;
    numbers[2][b] = flat ? 0 : std::log1p(four / (two * two));
    numbers[3][b] = flat ? 0 : std::clamp(mean / std::sqrt(two), -999.0f, 999.0f);
    numbers[4][b] = flat ? 0 : following / two;
  }

  // Means of the 129 values around each; beyond the ends the values are mirrored.
  void mean_around(const float* x, float* to) {
    constexpr ptrdiff_t half = NEIGHBOURS / 2;
    double sum = 0, *sums = filter_.data();
    sums[0] = 0;
    for (ptrdiff_t i = 0; i < half; i++) sums[i + 1] = sum += x[half - 1 - i];
    for (ptrdiff_t i = 0; i < n_; i++) sums[half + i + 1] = sum += x[i];
    for (ptrdiff_t i = 0; i < half; i++) sums[half + n_ + i + 1] = sum += x[n_ - 1 - i];
    for (ptrdiff_t i = 0; i < n_; i++)
      to[i] = (float)((sums[i + NEIGHBOURS] - sums[i]) * (1.0 / NEIGHBOURS));
  }

  void levelled(float* series, uint8_t* flat) {
    mean_around(tamed_.data(), mean_.data());
    for (ptrdiff_t i = 0; i < n_; i++) {
      weight_[i] = tamed_[i] - mean_[i];
      product_[i] = weight_[i] * weight_[i];
    }
    mean_around(product_.data(), mean_.data());
    for (ptrdiff_t i = 0; i < n_; i++) {
      const float spread = std::sqrt(std::max(mean_[i], 0.0f)) + 1e-6f;
      weight_[i] = std::clamp(weight_[i] / spread, -FAR, FAR);
    }
    mean_around(logs_.data(), mean_.data());
    for (ptrdiff_t i = 0; i < n_; i++) size_[i] = logs_[i] - mean_[i];
    for (ptrdiff_t i = 0; i + 1 < n_; i++)
      product_[i] = std::clamp(weight_[i] * weight_[i + 1], -FAR, FAR);
    product_[n_ - 1] = 0;
    mean_around(product_.data(), mean_.data());
    for (ptrdiff_t i = 0; i < n_; i++) product_[i] -= mean_[i];
    centre(weight_.data(), series, flat);
    centre(size_.data(), series + s_.padded, flat + 1);
    double* to = folds_;
    for (const float* own : {weight_.data(), size_.data(), product_.data()}) {
      const double variance = moments_of(own, n_).variance + 1e-9;
      for (int period : {9, 25, 49}) *to++ = fold(own, period, variance);
    }
  }

  void centre(const float* x, float* to, uint8_t* flat) {
    const float mean = (float)(sum_of(x, n_) / n_);
    double own = 0, all = 0;
    for (ptrdiff_t i = 0; i < n_; i++) {
      to[i] = x[i] - mean;
      own += (double)to[i] * to[i], all += (double)x[i] * x[i];
    }
    std::fill(to + n_, to + s_.padded, 0.0f);
    *flat = own <= 1e-6 * n_ * std::max(1.0, all / n_);
  }

  // The energy of the mean period, relative to noise.
  double fold(const float* x, int period, double variance) {
    float mean[49] = {};
    const ptrdiff_t repeats = n_ / period;
    for (ptrdiff_t r = 0; r < repeats; r++)
      for (int p = 0; p < period; p++) mean[p] += x[r * period + p];
    double middle = 0, energy = 0;
    for (int p = 0; p < period; p++) middle += mean[p];
    middle /= period;
    for (int p = 0; p < period; p++) energy += (mean[p] - middle) * (mean[p] - middle);
    energy /= (double)repeats * repeats * period;
    return std::log(energy * repeats / variance + 0.1);
  }

  static double* peaks(const Shape& s, const float* covariance, float each, double* out,
                       bool with_places) {
    double heights[8] = {}, places[8] = {};
    for (int64_t o = 0; o < s.octave_count; o++) {
      const int64_t low = s.octaves[2 * o], high = s.octaves[2 * o + 1];
      const int64_t stop = std::min(high, s.lags + 1);
      if (low >= stop) continue;
      float height = -1e38f;
      for (int64_t i = low; i < stop; i++) height = std::max(height, covariance[i]);
      heights[o] = height * each;
      const float* place = std::find(covariance + low, covariance + stop, height);
      places[o] = each ? (double)(place - covariance - low) / (high - low) : 0;
    }
    out = std::copy(heights, heights + s.octave_count, out);
    return with_places ? std::copy(places, places + s.octave_count, out) : out;
  }

  // Bands, periods and flatness of the power.
  static double* powers(const Shape& s, const float* power, bool flat, double* out) {
    const int64_t count = s.count;
    std::vector<double> sums(count + 1);
    std::vector<float> logs(count);
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
      const float own = flat ? 1.0f : power[2 * i];  // complex
      logs[i] = log_of(own + 1e-9f);
      sums[i + 1] = sum += own;
    }
    const auto mean = [&](int64_t low, int64_t high) {
      return (sums[high] - sums[low]) / (high - low);
    };
    const double total = sum / count;
    for (int64_t i = 0; i < s.band_count; i++) {
      const int64_t low = s.edges[i], high = s.edges[i + 1];
      *out++ = high > low ? std::log(mean(low, high) / (total + 1e-12) + 1e-4) : 0;
    }
    const int64_t* centre = s.centres;
    for (int64_t p = 0; p < s.period_count; p++) {
      double ratios = 0;
      for (int64_t h = 0; h < s.harmonics[p]; h++, centre++) {
        const int64_t low = std::max<int64_t>(0, *centre - s.reach);
        const int64_t high = std::min(count, *centre + s.reach + 1);
        const int64_t from = std::max<int64_t>(0, *centre - 1), to = std::min(count, *centre + 2);
        ratios += std::log(mean(from, to) + 1e-9) - std::log(mean(low, high) + 1e-9);
      }
      *out++ = ratios / s.harmonics[p];
    }
    *out++ = sum_of(logs.data(), count) / count - std::log(total);
    return out;
  }

  const Shape& s_;
  const ptrdiff_t n_;
  Sorter sort_;
  Sizes sizes_;
  float scale_ = 1;
  double* out_ = nullptr;
  double folds_[9];
  std::vector<float> values_, ordered_, steps_, relative_, tamed_, logs_, weight_, size_,
      product_, mean_;
  std::vector<double> sums_[3], filter_;
};

}  // namespace ws
