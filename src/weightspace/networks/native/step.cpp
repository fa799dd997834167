// One training step of small nets, one net after the other, and their forward pass.
//
// It does the same as networks/stack.py: the same plan, vectors in the same order, the same results
// up to rounding; a test compares the two. Nothing here allocates memory after `ws_new`, keeps
// state between calls, or uses Python.
#include <memory>

#include "augment.h"
#include "conv.h"
#include "dense.h"
#include "optimizers.h"
#include "others.h"
#include "weightspace/native.h"

namespace ws {

// A net's images: float [samples, C, H, W] at `x`, or rows `index` of uint8 images at `pool`, whose
// bytes stand for `levels` [C, 256], or for 0 to 1.
template <class T> struct Images {
  const T* x;
  const uint8_t* pool;
  const int64_t* index;
  const T* levels;
};

// A layer as native/plans.py tells it.
struct Told {
  int32_t kind, in, out, a, b, c, d, e, f, g;
};
enum { CONV, DENSE, POINT, POOL, DROPOUT, SUM };

template <class T> class Workspace {
 public:
  // `plan`: the numbers of values and layers, the channels and side of each value, the layers.
  Workspace(const int32_t* plan, int samples) : n_(samples), values_(plan[0]) {
    const int layers = plan[1];
    plan += 2;
    for (auto& value : values_) value.channels = *plan++, value.side = *plan++;
    const Told* told = reinterpret_cast<const Told*>(plan);
    values_[0].wanted = false;
    for (int l = 0; l < layers; l++) {
      const Told& t = told[l];
      values_[t.in].uses++;
      if (t.kind == SUM) values_[t.a].uses++;
      if (t.kind == CONV) values_[t.in].halo = std::max(values_[t.in].halo, (int)t.c);
    }
    for (auto& value : values_) value.make(n_);
    Place place{0, 0, 0};
    size_t packed = 0, sums = 1;
    for (int l = 0; l < layers; l++) add(told[l], place, packed, sums);
    scratch_.packed.make(packed);
    scratch_.sums.make(sums * Simd<T>::n);
    numbers_.make(values_[0].count());
    if (values_[0].halo) plain_.make(values_[0].count());
    stats_ = place.stat, masks_ = place.mask;
    for (int i = 0; i < 256; i++) level_[i] = T(i) / T(255);
  }

  Losses<T> train(Images<T> images, const int64_t* labels, Net<T>& net) {
    forward(images, net, true);
    auto& last = values_.back();
    auto losses = cross_entropy<T>(last.x.p, last.channels, n_, labels, net.smoothing, last.d);
    for (auto& value : values_) value.forget();
    for (auto layer = layers_.rbegin(); layer != layers_.rend(); ++layer) (*layer)->backward(net);
    return losses;
  }

  void logits(Images<T> images, Net<T>& net, T* out) {
    forward(images, net, false);
    transpose(values_.back().channels, n_, values_.back().x.p, out);
  }

  int stats() const { return stats_; }
  int masks() const { return masks_; }
  int outputs() const { return values_.back().channels; }
  int samples() const { return n_; }
  int channels() const { return values_[0].channels; }

 private:
  void add(const Told& t, Place& place, size_t& packed, size_t& sums) {
    Value<T>&in = values_[t.in], &out = values_[t.out];
    const size_t ins = (size_t)in.channels * in.side * in.side;
    bool normed = false, dropped = false;
    if (t.kind == CONV) {
      const ConvShape s{t.a, t.b, t.c, t.d != 0, t.e != 0, t.f != 0, t.g != 0};
      const size_t weights = Conv<T>::weights(s, in.channels, out.channels);
      layers_.push_back(std::make_unique<Conv<T>>(s, in, out, place, scratch_));
      packed = std::max(packed, weights), sums = std::max(sums, weights);
      place.at += weights + s.biased * out.channels;
      normed = s.normed;
    } else if (t.kind == DENSE) {
      const DenseShape s{t.a != 0, t.b != 0, t.c != 0, t.d != 0};
      layers_.push_back(std::make_unique<Dense<T>>(s, in, out, place, scratch_));
      packed = std::max({packed, ins * out.channels, (size_t)out.channels * n_});
      place.at += (ins + s.biased) * out.channels;
      normed = s.normed, dropped = s.dropped;
    } else if (t.kind == POINT) {
      normed = t.a != 0;
      layers_.push_back(std::make_unique<Point<T>>(normed, t.b != 0, in, out, place));
    } else if (t.kind == POOL) {
      layers_.push_back(std::make_unique<Pool<T>>(PoolShape{t.a, t.b, t.c, t.d}, in, out));
    } else if (t.kind == DROPOUT) {
      dropped = true;
      layers_.push_back(std::make_unique<Dropout<T>>(t.a != 0, in, out, place));
    } else {
      layers_.push_back(std::make_unique<Sum<T>>(t.b != 0, in, values_[t.a], out));
    }
    if (normed) place.at += 2 * out.channels, place.stat += 2;
    place.mask += dropped;
  }

  void forward(Images<T> images, Net<T>& net, bool training) {
    take_images(images);
    for (auto& layer : layers_) layer->forward(net, training);
  }

  void take_images(Images<T> images) {
    auto& value = values_[0];
    const int pixels = value.channels * value.side * value.side, area = value.side * value.side;
    value.samples = images.x ? images.x : numbers_.p;
    if (!images.x) {
      T* to = numbers_.p;
      for (int i = 0; i < n_; i++) {
        const uint8_t* bytes = images.pool + (size_t)images.index[i] * pixels;
        for (int c = 0; c < value.channels; c++) {
          const T* level = images.levels ? images.levels + 256 * c : level_;
          for (int at = 0; at < area; at++) *to++ = level[*bytes++];
        }
      }
    }
    T* inner = value.halo ? plain_.p : value.x.p;
    transpose(n_, pixels, value.samples, inner);
    if (!value.halo) return;
    const size_t line = (size_t)value.side * n_;
    for (int c = 0; c < value.channels; c++)
      for (int row = 0; row < value.side; row++, inner += line)
        std::memcpy(value.inner() + c * value.channel() + row * value.line(), inner,
                    line * sizeof(T));
  }

  int n_, stats_ = 0, masks_ = 0;
  std::vector<Value<T>> values_;
  Scratch<T> scratch_;
  std::vector<std::unique_ptr<Layer<T>>> layers_;
  Array<T> numbers_, plain_;  // the images by sample, and without halo
  T level_[256];
};

// The arguments of a call; the same layout as `Call` in native/__init__.py.
template <class T> struct Call {
  int64_t nets, values;       // nets, and trainable values of each
  const uint8_t* pool;        // images uint8 [*, C, H, W]
  const int64_t* index;       // [nets, samples] rows of pool
  const T* const* images;     // per net [samples, C, H, W], or null: by index
  const T* levels;            // [nets, C, 256] what each byte of a channel stands for, or null
  const int64_t* labels;      // [nets, samples]
  T* weights;                 // [nets, values]
  T* const* stats;            // running statistics in layout order, each [nets, width]
  const int32_t* widths;      // of each of them
  const T* const* masks;      // factors of each dropout [nets, samples, values], or null
  const int32_t* dropped;     // the number of values of each of them
  const int32_t* activation;  // [nets]
  const T* smoothing;         // [nets]
  T* out;                     // gradient [nets, values], or logits [nets, samples, outputs]
  double* losses;             // [3, nets]: loss, negative log likelihood, share of correct answers
  const Updates* updates;     // of float; if not null, each net's gradient is applied at once, and
                              // `out` is memory for the gradient of one net
};

template <class T> void run(Workspace<T>& space, const Call<T>& call, bool training) {
  const int n = space.samples();
  for (int64_t m = 0; m < call.nets; m++) {
    Net<T> net;
    net.weights = call.weights + m * call.values;
    for (int s = 0; s < space.stats(); s++)
      net.stats.push_back(call.stats[s] + m * call.widths[s]);
    net.activation = call.activation[m];
    Images<T> images{call.images ? call.images[m] : nullptr, call.pool,
                     call.index ? call.index + m * n : nullptr,
                     call.levels ? call.levels + m * space.channels() * 256 : nullptr};
    if (!training) {
      net.gradient = nullptr, net.smoothing = 0;
      space.logits(images, net, call.out + m * n * space.outputs());
      continue;
    }
    for (int l = 0; l < space.masks(); l++)
      net.masks.push_back(call.masks[l] ? call.masks[l] + m * n * call.dropped[l] : nullptr);
    net.smoothing = call.smoothing[m];
    net.gradient = call.updates ? call.out : call.out + m * call.values;
    const auto found = space.train(images, call.labels + m * n, net);
    call.losses[m] = found.loss;
    call.losses[call.nets + m] = found.nll;
    call.losses[2 * call.nets + m] = found.correct;
    if constexpr (sizeof(T) == 4)
      if (call.updates) update(*call.updates, m, call.values, net.gradient, call.weights);
  }
}

// Images of `nets` nets, `samples` each: rows `index` of pool, uint8 [*, C, H, W], augmented with
// numbers of each net's two streams, to T [nets, samples, C, H, W].
template <class T>
void augment(const uint8_t* pool, const int64_t* index, const uint64_t* keys,
             const uint64_t* noise_keys, const double (*ranges)[2], const int64_t* shape, T* to) {
  const int64_t nets = shape[0], samples = shape[1];
  const int channels = (int)shape[2], height = (int)shape[3], width = (int)shape[4];
  const size_t values = (size_t)channels * height * width;
  Augmenter<T> augmenter(channels, height, width, ranges);
  for (int64_t m = 0; m < nets; m++)
    for (int64_t n = 0; n < samples; n++, index++, to += values)
      augmenter.image(pool + *index * values, keys[m], noise_keys[m], n, to);
}

template <class T> void* make(const int32_t* plan, int samples) {
  try {
    return new Workspace<T>(plan, samples);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace ws

extern "C" {
void* ws_new_f32(const int32_t* plan, int samples) { return ws::make<float>(plan, samples); }
void* ws_new_f64(const int32_t* plan, int samples) { return ws::make<double>(plan, samples); }
void ws_free_f32(void* space) { delete static_cast<ws::Workspace<float>*>(space); }
void ws_free_f64(void* space) { delete static_cast<ws::Workspace<double>*>(space); }
void ws_run_f32(void* space, const void* call, int training) {
  ws::run(*static_cast<ws::Workspace<float>*>(space), *static_cast<const ws::Call<float>*>(call),
          training);
}
void ws_run_f64(void* space, const void* call, int training) {
  ws::run(*static_cast<ws::Workspace<double>*>(space),
          *static_cast<const ws::Call<double>*>(call), training);
}
void ws_augment_f32(const uint8_t* pool, const int64_t* index, const uint64_t* keys,
                    const uint64_t* noise_keys, const double (*ranges)[2], const int64_t* shape,
                    float* to) {
  ws::augment(pool, index, keys, noise_keys, ranges, shape, to);
}
void ws_augment_f64(const uint8_t* pool, const int64_t* index, const uint64_t* keys,
                    const uint64_t* noise_keys, const double (*ranges)[2], const int64_t* shape,
                    double* to) {
  ws::augment(pool, index, keys, noise_keys, ranges, shape, to);
}
void ws_update_f32(int64_t nets, int64_t values, const float* gradient, float* weights,
                   const void* updates) {
  for (int64_t m = 0; m < nets; m++)
    ws::update(*static_cast<const ws::Updates*>(updates), m, values, gradient + m * values, weights);
}
int ws_level(void) { return level_of_processor(); }
}
